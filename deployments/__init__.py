"""The HTTP face: one package an app, each `app.py` without Ray and each `deployment.py` with it."""
