"""The two visual nets of torchvision without their classifiers: frames in, maps out.

The layers keep torchvision's names, so that its published weights fit.
"""

from collections import OrderedDict

from torch import nn
from torchvision.models import resnet152
from torchvision.models.video import r2plus1d_18


def resnet_trunk() -> nn.Sequential:
    """Return ResNet-152 up to its last map: [N, 3, H, W] -> [N, 2048, H/32, W/32].

    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. The mean of the map is
    the 2048-d feature below the classifier.
    """
    return _without_classifier(resnet152(weights=None))


def video_trunk() -> nn.Sequential:
    """Return R(2+1)D-18 up to its last map: [N, 3, F, H, W] -> [N, 512, F/8, H/16, W/16].

    Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018.
    """
    return _without_classifier(r2plus1d_18(weights=None))


def _without_classifier(net: nn.Module) -> nn.Sequential:
    layers = [
        (name, layer) for name, layer in net.named_children() if name not in ("avgpool", "fc")
    ]
    return nn.Sequential(OrderedDict(layers))


TRUNKS = {"resnet152": resnet_trunk, "r2plus1d": video_trunk}
