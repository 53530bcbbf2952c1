from __future__ import annotations

from research.distil.faces import read_times
from research.sets.often import fairface_times, utkface_times, write_times


def test_children_and_east_asian_faces_are_drawn_more_often(tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "file,age,gender,race\ntrain/1.jpg,30-39,Male,White\ntrain/2.jpg,3-9,Female,East Asian\n"
        "train/3.jpg,20-29,Female,Southeast Asian\n"
    )
    names = ["9_0_0_20170110.jpg", "30_1_2_20170110.jpg", "30_1_0_20170110.jpg", "61_3_20170109.jpg"]
    out = tmp_path / "times.csv"
    assert write_times([*fairface_times(labels), *utkface_times(names)], out) == 4
    assert read_times(out) == {
        "fairface/2.jpg": 3,
        "fairface/3.jpg": 2,
        "utkface/9_0_0_20170110.jpg": 3,
        "utkface/30_1_2_20170110.jpg": 2,
    }
