"""Pure functions of arrays that losses, models and evaluations share; they stand on jax alone."""
