"""Overlays: one file per family, and the certificate that says how far each may be trusted."""
