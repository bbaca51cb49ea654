"""A Ray cluster of two nodes that somebody else has set up, in a process of its own; it ends with its standard input.

`python two_nodes.py` prints the address. The environment is what each node's would be (`cluster.yaml`).
"""

import sys

import ray
from ray.cluster_utils import Cluster


class Ballast:
    """Takes up a node's CPU, so that others are placed elsewhere."""

    def ready(self):
        """It has been placed."""


def main():
    """Start both nodes, say where, wait, end them and reap what ends."""
    cluster = Cluster(initialize_head=True, head_node_args=node(num_cpus=4))
    try:
        second = cluster.add_node(**node(num_cpus=1))
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        # Both nodes have one address, on which only one HAProxy can listen: the second has room for our hosts, not for
        # Serve's replicas.
        place = {"ray.io/node-id": second.node_id}
        ballast = ray.remote(Ballast).options(num_cpus=0.92, label_selector=place).remote()
        ray.get(ballast.ready.remote())
        print(f"address {cluster.address}", flush=True)  # noqa: T201 - that is how it is told
        sys.stdin.read()
    finally:
        ray.shutdown()
        cluster.shutdown()


def node(num_cpus):
    """A small node."""
    return {"num_cpus": num_cpus, "object_store_memory": 80 * 2**20, "include_dashboard": False}


if __name__ == "__main__":
    main()
