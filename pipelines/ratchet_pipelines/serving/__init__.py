"""The Serve application of an endpoint: assign a variant, predict, log, answer.

One replica holds every variant of its endpoint (a second hop would double the latency). Read `app.py` first, then
`replica.py` (which configuration serves), `http.py` (a request's path) and `log.py` (what is kept of it).
"""
