"""The settings: where they come from, and which make no sense."""

from __future__ import annotations

import pytest

from flaskapp.web.settings import Settings, SettingsError, read_settings


def test_settings_come_from_configuration_then_environment():
    environment = {"FR_RATE_LIMIT": "7", "FR_CONSENT_MINUTES": "5", "FR_ALLOWED_HOSTS": "a.example, B.example"}
    settings = read_settings({"FR_RATE_LIMIT": 9}, environment)
    assert settings == Settings(rate_limit=9, consent_minutes=5, allowed_hosts=("a.example", "b.example"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FR_RATE_LIMIT", "many"),
        ("FR_RATE_LIMIT", "-1"),
        ("FR_CONSENT_MINUTES", "0"),
        ("FR_THREADS", "4"),
        ("FR_OWN_FACE", "me"),
        ("FR_OWN_MINUTES", "0"),
        ("FR_OWN_MINUTES", "nan"),
        ("FR_OWN_MINUTES", "soon"),
        ("FR_OWN_MINUTES", "1e300"),
        ("FR_MAX_PHOTO_BYTES", str(10**9)),
        ("FR_MAX_PHOTO_BYTES", "1"),
        ("FR_MAX_BODY_BYTES", "1"),
        ("FR_MAX_BODY_BYTES", str(12 * 1024**2 - 1)),
        ("FR_CONSENT_MINUTES", "99999999999999"),
        ("FR_THREADS", "1000000"),
        ("FR_TRUSTED_PROXY", "foo"),
        ("FR_TRUSTED_PROXY", "*"),
        ("FR_TRUSTED_PROXY", "10.0.0.0/8"),
        ("FR_ALLOWED_HOSTS", ""),
        ("FR_ALLOWED_HOSTS", " , "),
        ("FR_ALLOWED_HOSTS", "a b"),
        ("FR_ALLOWED_HOSTS", "localhost,http://x"),
        ("FR_ALLOWED_HOSTS", "faces.example:8000"),
        ("FR_ALLOWED_HOSTS", "*.example"),
        ("FR_ALLOWED_HOSTS", "::1"),
        ("FR_ALLOWED_HOSTS", "[127.0.0.1]"),
    ],
)
def test_settings_name_the_one_that_makes_no_sense(name, value):
    with pytest.raises(SettingsError, match=name):
        read_settings({}, {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FR_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1],faces_1.example.org,xn--bcher-kva.example.,"),
        ("FR_TRUSTED_PROXY", "192.0.2.1"),
        ("FR_TRUSTED_PROXY", "::1"),
        ("FR_MAX_PHOTO_BYTES", str(1024**2)),
        ("FR_MAX_BODY_BYTES", str(12 * 1024**2)),
        ("FR_CONSENT_MINUTES", "527040"),
    ],
)
def test_settings_take_what_makes_sense(name, value):
    read_settings({}, {name: value})
