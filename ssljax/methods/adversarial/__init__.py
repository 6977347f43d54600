"""Adversarial learning: a generator and a discriminator play against each other."""

from ssljax.methods.adversarial.bigan import BiGAN
from ssljax.methods.adversarial.bigbigan import BigBiGAN
from ssljax.methods.adversarial.cgan import CGAN
from ssljax.methods.adversarial.dcgan import DCGAN
from ssljax.methods.adversarial.ebgan import EBGAN
from ssljax.methods.adversarial.progan import ProGAN
from ssljax.methods.adversarial.sgan import SGAN
from ssljax.methods.adversarial.sngan import SNGAN
from ssljax.methods.adversarial.ssgan import SSGAN
from ssljax.methods.adversarial.wgan import WGAN
from ssljax.methods.adversarial.wgan_gp import WGANGP
from ssljax.methods.contract import Method

REGISTRY: dict[str, type[Method]] = {
    "bigan": BiGAN,
    "bigbigan": BigBiGAN,
    "cgan": CGAN,
    "dcgan": DCGAN,
    "ebgan": EBGAN,
    "progan": ProGAN,
    "sgan": SGAN,
    "sngan": SNGAN,
    "ssgan": SSGAN,
    "wgan": WGAN,
    "wgan_gp": WGANGP,
}
