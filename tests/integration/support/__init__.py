"""What the integration tests share: a private httpd, scripted backends, raw clients.

Settings come from the environment; README.md lists them.
"""
