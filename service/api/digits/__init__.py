"""The routes of the digits: GET and POST /mnist/sample, and GET /mnist/interpolate."""
