"""Renders reports: ``text`` for a terminal, ``markdown`` for a pull request, ``html`` for a browser.

``summary`` and ``tables`` hold the words and figures that all three share.
"""
