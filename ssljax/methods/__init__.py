"""The methods, by the name that a config gives them."""

from __future__ import annotations

from ml_collections import ConfigDict

from ssljax.methods import (
    barlow_twins,
    byol,
    cgan,
    dcgan,
    dcl,
    deepcluster_v2,
    dino,
    distill,
    ebgan,
    finetune,
    mae,
    moco,
    moco_v3,
    nnclr,
    one_vs_rest,
    sgan,
    simclr,
    simsiam,
    sngan,
    ssgan,
    swav,
    vicreg,
    wgan,
    wgan_gp,
)
from ssljax.methods.contract import Method, Task
from ssljax.methods.online_probe import OnlineProbe

TABLE: dict[str, type[Method]] = {
    "barlow_twins": barlow_twins.BarlowTwins,
    "byol": byol.BYOL,
    "cgan": cgan.CGAN,
    "dcgan": dcgan.DCGAN,
    "dcl": dcl.DCL,
    "deepcluster_v2": deepcluster_v2.DeepClusterV2,
    "dino": dino.DINO,
    "distill": distill.Distill,
    "ebgan": ebgan.EBGAN,
    "finetune": finetune.Finetune,
    "mae": mae.MAE,
    "moco": moco.MoCo,
    "moco_v3": moco_v3.MoCoV3,
    "nnclr": nnclr.NNCLR,
    "one_vs_rest": one_vs_rest.OneVsRest,
    "sgan": sgan.SGAN,
    "simclr": simclr.SimCLR,
    "simsiam": simsiam.SimSiam,
    "sngan": sngan.SNGAN,
    "ssgan": ssgan.SSGAN,
    "swav": swav.SwAV,
    "vicreg": vicreg.VICReg,
    "wgan": wgan.WGAN,
    "wgan_gp": wgan_gp.WGANGP,
}


def default_config(name: str) -> ConfigDict:
    """The keys under `config.method` of a method, at the values of its paper."""
    config = TABLE[name].default_config()
    config.name = name
    config.online_probe = False  # A linear classifier learnt beside it, for the log.
    return config


def build(config: ConfigDict, task: Task) -> Method:
    """Builds the method that `config.method.name` names, with an online probe if it asks for one.

    Raises:
      ValueError: if the config does not fit together.
    """
    method = TABLE[config.method.name](config, task)
    return OnlineProbe(method, task) if config.method.online_probe else method
