"""Joint embedding: two or more views of an image have one representation."""

from ssljax.methods.contract import Method
from ssljax.methods.joint_embedding.barlow_twins import BarlowTwins
from ssljax.methods.joint_embedding.byol import BYOL
from ssljax.methods.joint_embedding.dcl import DCL
from ssljax.methods.joint_embedding.deepcluster_v2 import DeepClusterV2
from ssljax.methods.joint_embedding.dino import DINO
from ssljax.methods.joint_embedding.dinov2 import DINOv2
from ssljax.methods.joint_embedding.ibot import IBOT
from ssljax.methods.joint_embedding.ijepa import IJEPA
from ssljax.methods.joint_embedding.lejepa import LeJEPA
from ssljax.methods.joint_embedding.moco import MoCo
from ssljax.methods.joint_embedding.moco_v3 import MoCoV3
from ssljax.methods.joint_embedding.nnclr import NNCLR
from ssljax.methods.joint_embedding.simclr import SimCLR
from ssljax.methods.joint_embedding.simsiam import SimSiam
from ssljax.methods.joint_embedding.swav import SwAV
from ssljax.methods.joint_embedding.vicreg import VICReg

REGISTRY: dict[str, type[Method]] = {
    "barlow_twins": BarlowTwins,
    "byol": BYOL,
    "dcl": DCL,
    "deepcluster_v2": DeepClusterV2,
    "dino": DINO,
    "dinov2": DINOv2,
    "ibot": IBOT,
    "ijepa": IJEPA,
    "lejepa": LeJEPA,
    "moco": MoCo,
    "moco_v3": MoCoV3,
    "nnclr": NNCLR,
    "simclr": SimCLR,
    "simsiam": SimSiam,
    "swav": SwAV,
    "vicreg": VICReg,
}
