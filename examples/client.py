"""The same questions to a running server: `pyserve serve` in another terminal.

The server is at $PYSERVE_URL, or http://127.0.0.1:8080.
"""

from __future__ import annotations

import pyserve


def main(client: pyserve.Client) -> None:
    print(client.models())
    params = pyserve.SamplingParams(temperature=0, max_tokens=24)
    print(client.chat("What is the capital of France?", params).text)
    for chunk in client.stream("Once upon a time", params):
        print(chunk.text, end="", flush=True)
    print()


if __name__ == "__main__":
    with pyserve.Client() as client:
        main(client)
