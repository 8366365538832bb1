# SPDX-License-Identifier: GPL-2.0
"""Fetch, assemble, build, boot and report: see README.md."""
