"""A pool of earlier generated images, of which a discriminator is shown some in place of new ones.

It depends on a key and the images' places in the global batch alone, and is the same on every
device.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

Images = Float[Array, "batch height width channels"]


def empty_pool(size: int, shape: tuple[int, int, int]) -> dict[str, Array]:
    """Makes a pool without images.

    Args:
      size: The most images that it holds.
      shape: (height, width, channels) of an image.

    Returns:
      "images", (size, height, width, channels); "count", how many of them are there.

    Example:
      >>> start = empty_pool(50, (8, 8, 3))
      >>> print(start["images"].shape, start["count"])
      (50, 8, 8, 3) 0
    """
    return {"images": jnp.zeros((size, *shape)), "count": jnp.zeros((), jnp.int32)}


def exchange(
    pool: dict[str, Array], images: Images, key: PRNGKeyArray
) -> tuple[Images, dict[str, Array]]:
    """Hands new images in and takes as many out, one after the other.

    Until the pool is full an image is stored and given back. From then on, with probability one
    half, it takes the place of a stored one that is drawn evenly, which is given in its stead;
    otherwise it is given back and not stored. So an image may be given in place of a later one of
    the same batch.

    Args:
      pool: See `empty_pool`.
      images: New images.
      key: The random key; draw i depends on the key and i alone.

    Returns:
      As many images, and the pool afterwards. No gradient passes through either.

    Reference:
      Shrivastava et al., Learning from Simulated and Unsupervised Images through Adversarial
      Training, 2017, section 2.3; the form is that of CycleGAN's code, `util/image_pool.py`.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> pool = empty_pool(2, (1, 1, 1))
      >>> new = jnp.arange(1.0, 3.0).reshape(2, 1, 1, 1)
      >>> shown, pool = exchange(pool, new, jax.random.key(0))
      >>> print(shown[:, 0, 0, 0], pool["images"][:, 0, 0, 0], pool["count"])
      [1. 2.] [1. 2.] 2
    """
    images = lax.stop_gradient(images)
    size, batch = pool["images"].shape[0], images.shape[0]
    swaps, places = draw(key, batch, size)

    def step(
        now: tuple[Int[Array, " size"], Int[Array, ""]],
        one: tuple[Int[Array, ""], Bool[Array, ""], Int[Array, ""]],
    ) -> tuple[tuple[Int[Array, " size"], Int[Array, ""]], Int[Array, ""]]:
        """Follows numbers in place of images: of the stored ones first, then of the new ones."""
        (held, count), (number, swap, place) = now, one
        is_full = count >= size
        place = jnp.where(is_full, place, count)
        given = jnp.where(is_full & swap, held[place], number)
        stored = jnp.where(is_full & ~swap, held[place], number)
        return (held.at[place].set(stored), jnp.minimum(count + 1, size)), given

    numbers = jnp.arange(size + batch, dtype=jnp.int32)
    (held, count), given = lax.scan(
        step, (numbers[:size], pool["count"]), (numbers[size:], swaps, places)
    )
    both = jnp.concatenate([pool["images"], images.astype(pool["images"].dtype)])
    # Images that are given back stay where they are, and with them the work on the whole batch.
    is_new = (given == numbers[size:])[:, None, None, None]
    shown = jnp.where(is_new, images, both[given].astype(images.dtype))
    return shown, {"images": both[held], "count": count}


def draw(
    key: PRNGKeyArray, batch: int, size: int
) -> tuple[Bool[Array, " batch"], Int[Array, " batch"]]:
    """Draws what `exchange` does once the pool is full.

    Args:
      key: The random key.
      batch: New images.
      size: Images in the pool.

    Returns:
      For each new image, whether it is stored, and in which place.

    Example:
      >>> import jax
      >>> swaps, places = draw(jax.random.key(0), 1000, 50)
      >>> print(f"{swaps.mean():.1f} {places.min()} {places.max()}")
      0.5 0 49
    """
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(batch, dtype=jnp.uint32))

    def one(key: PRNGKeyArray) -> tuple[Bool[Array, ""], Int[Array, ""]]:
        swap, place = jax.random.split(key)
        return jax.random.bernoulli(swap), jax.random.randint(place, (), 0, size)

    return jax.vmap(one)(keys)
