"""Networks to look into and to dream with, by name: embedded, torchvision's, or the user's own."""

from cnnart.networks.classes import class_index, class_name
from cnnart.networks.module import LOGITS
from cnnart.networks.network import Classifier, LayerGeometry, Network, ReceptiveField
from cnnart.networks.opening import network_kinds, open_network

__all__ = [
    "LOGITS",
    "Classifier",
    "LayerGeometry",
    "Network",
    "ReceptiveField",
    "class_index",
    "class_name",
    "network_kinds",
    "open_network",
]
