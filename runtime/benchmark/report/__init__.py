"""A report as people read it: ``summary`` says it in words and ``tables`` in figures, once for every form.

``text`` is for a terminal, ``markdown`` for a pull request, ``page`` for a browser; ``changes`` compares two reports.
"""
