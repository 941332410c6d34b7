"""Image files to arrays and back, in threads and processes of their own."""
