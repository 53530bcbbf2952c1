"""Everything about a model of one's own face: photos, training, the folder that it becomes, whom it knows."""

from flaskapp.personal.folder import (
    REPORT,
    check_out,
    foreign,
    forget,
    install,
    is_personal,
    new_folder,
    remove,
    stamp,
    standing,
    traces,
    work_folder,
)
from flaskapp.personal.model import Owner, load_model

__all__ = [
    "REPORT", "Owner", "check_out", "foreign", "forget", "install", "is_personal", "load_model", "new_folder",
    "remove", "stamp", "standing", "traces", "work_folder",
]  # fmt: skip
