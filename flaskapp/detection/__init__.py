"""Face detection by MTCNN: three small networks, one pyramid, one suppression."""

from flaskapp.detection.detector import Detector, default_detector
from flaskapp.detection.face import SMALLEST_FACE, Detection, Face

__all__ = ["SMALLEST_FACE", "Detection", "Detector", "Face", "default_detector"]
