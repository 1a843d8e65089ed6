"""The peers by name."""

from __future__ import annotations

from collections.abc import Sequence

from bench.peers.ik_llama import IkLlamaServer
from bench.peers.llama_cpp_python import LlamaCppPython
from bench.peers.llama_server import LlamaServer
from bench.peers.mistralrs import Mistralrs
from bench.peers.openvino import Openvino
from bench.peers.peer import Peer, PeerError
from bench.peers.pyserve import Pyserve, parse_variant
from bench.peers.vllm_cpu import VllmCpu
from bench.peers.xllamacpp import Xllamacpp

DEFAULT_NAMES = ("pyserve", "llama-server", "llama-server-kvu")


def known_peers() -> dict[str, Peer]:
    peers: list[Peer] = [
        Pyserve(),
        LlamaServer(),
        LlamaServer("llama-server-kvu", is_unified=True),
        IkLlamaServer(),
        IkLlamaServer("ik-llama-server-rtr", is_repacked=True),
        Xllamacpp(),
        Openvino(),
        LlamaCppPython(),
        LlamaCppPython("llama-cpp-python-batching", is_batching=True),
        Mistralrs(),
        VllmCpu(),
    ]
    return {peer.name: peer for peer in peers}


def choose(names: Sequence[str], variants: Sequence[str]) -> list[Peer]:
    """The named peers, then our own variants; see `parse_variant`.

    Raises PeerError for an unknown name or a name given twice.
    """
    known = known_peers()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PeerError(f"unknown peers: {' '.join(unknown)}; known: {' '.join(known)}")
    peers = [known[name] for name in names] + [parse_variant(text) for text in variants]
    if len({peer.name for peer in peers}) < len(peers):
        raise PeerError("a peer is named twice")
    return peers


def install(peers: Sequence[Peer]) -> tuple[list[Peer], list[str]]:
    """Those that can be started, once they are installed, and why each of the others cannot be."""
    here, missing = [], []
    for peer in peers:
        try:
            if not peer.is_available():
                peer.install()
            here.append(peer)
        except PeerError as error:
            missing.append(f"{peer.name} is left out: {error}")
    return here, missing
