"""Names of the environment variables that connect the processes of one server."""

SUPERVISOR_SOCKET_ENV = "PYSERVE_SUPERVISOR_SOCKET"  # the control socket of a running supervisor
LISTEN_FD_ENV = "PYSERVE_LISTEN_FD"  # the inherited listening socket for gunicorn
RUNTIME_DIR_ENV = "PYSERVE_RUNTIME_DIR"  # gunicorn on its own: where its supervisor is to live
LIFELINE_FD_ENV = "PYSERVE_LIFELINE_FD"  # gunicorn on its own: a pipe that ends with it
KEY_COUNTS_FD_ENV = "PYSERVE_KEY_COUNTS_FD"  # memory in which front workers count keys' requests
