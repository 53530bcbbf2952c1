"""Face detection by MTCNN: three small networks, one pyramid, one suppression."""

from flaskapp.detection.candidates import Face
from flaskapp.detection.detection import SMALLEST_FACE, Detection
from flaskapp.detection.detector import LARGEST_IMAGE, Detector, default_detector, detect_faces

__all__ = ["LARGEST_IMAGE", "SMALLEST_FACE", "Detection", "Detector", "Face", "default_detector", "detect_faces"]
