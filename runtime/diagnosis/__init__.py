"""Examines an installation: what is there, which backends work, and what helps where they do not.

`examination.examine` returns a `schema.Report`. Libraries are imported in processes of their own, as broken ones may
raise anything, end the process, crash or hang; this process imports none of them, NumPy and OpenCV included.
"""
