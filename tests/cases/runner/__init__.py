# SPDX-License-Identifier: MIT
"""What runs the end-to-end cases: see ../README.md for the language of a case."""
