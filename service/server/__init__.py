"""The process: its sockets, its signals, and the HTTP protocol on them."""
