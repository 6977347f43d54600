"""Transfer: what a trained network is good for, or gives to another."""

from ssljax.methods.contract import Method
from ssljax.methods.transfer.detect import Detect
from ssljax.methods.transfer.distill import Distill
from ssljax.methods.transfer.finetune import Finetune
from ssljax.methods.transfer.multi_label import MultiLabel
from ssljax.methods.transfer.one_vs_rest import OneVsRest
from ssljax.methods.transfer.segment import Segment
from ssljax.methods.transfer.supervised import Supervised

REGISTRY: dict[str, type[Method]] = {
    "detect": Detect,
    "distill": Distill,
    "finetune": Finetune,
    "multi_label": MultiLabel,
    "one_vs_rest": OneVsRest,
    "segment": Segment,
    "supervised": Supervised,
}
