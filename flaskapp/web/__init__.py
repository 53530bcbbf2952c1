"""The web page and the API, part by part; ``flaskapp.app`` puts them together.

A request passes ``guards`` (host, origin), ``access`` (consent), ``limits`` (rate) and
``uploads`` (photos in memory) before ``comparing`` sees a photo. ``api`` and ``pages``
answer; ``problems`` turns every error into one form.
"""
