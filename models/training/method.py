"""The method of a net, for the clips and the trainings of this package."""

from models.contract.method import ConfigT, Method
from models.data.source import ClipSource
from models.training.state import Training

NetMethod = Method[ConfigT, ClipSource, Training]
"""What the file of a net ends with: `METHOD = NetMethod(card=CARD, config=Config, ...)`."""
