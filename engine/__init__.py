"""Pentimento's engine: pictures in, stylized layers and their explanations out. Never imports bpy."""

__version__ = "0.1.0"
