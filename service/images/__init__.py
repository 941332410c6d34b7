"""Decodes image files to arrays and encodes them again, in threads and processes of their own."""
