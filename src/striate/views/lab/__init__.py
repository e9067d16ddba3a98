"""`striate lab`: the live page with a server of its own, on the loopback interface alone.

`door` decides who is answered, `bodies` reads requests, `answers` computes, `worker` keeps computation off the server's
thread, `app` joins them, `server` runs them.
"""
