"""Craft of `validate`: is it an article, is it one this newsroom would print, and where does it go. Pure."""
