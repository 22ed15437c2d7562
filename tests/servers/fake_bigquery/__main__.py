# SPDX-License-Identifier: Apache-2.0
"""A BigQuery for fault tests: what no emulator does (lost and late answers, throttling, expired streams, slow schemas ...), and a ledger
of what was truly stored. Everything is in memory, and on one event loop: no locks, and what happens between two awaits happens at once.

usage: SERVERS/bigquery/python tests/servers/fake_bigquery PORT GRPC_PORT [PROJECT]      (127.0.0.1; plaintext)
"""
import asyncio
import sys

import grpc

from control import Control
from faults import Faults
from http_server import Answer, HttpServer
from jobs import Jobs
from queries import Queries
from rest import Rest
from store import Store
from write_api import WriteApi


async def main(port, grpc_port, project):
    store, faults = Store(project), Faults()
    queries = Queries(store)
    jobs = Jobs(store, faults, queries)
    rest, write = Rest(store, faults, jobs, queries), WriteApi(store, faults)
    control = Control(store, faults, write, rest, jobs, queries)

    async def serve(request):
        if request.path.startswith("/control/"):
            return await control.serve(request)
        if request.path in ("/token", "/computeMetadata/v1/instance/service-accounts/default/token"):
            await faults.http("token")
            token = {"access_token": store.issue_token(), "expires_in": store.settings["token_life_s"], "token_type": "Bearer"}
            return Answer(token, headers={"Metadata-Flavor": "Google"})
        if request.path == "/computeMetadata/v1/instance/service-accounts/default/email":
            return Answer(b"kakehi@p.iam.gserviceaccount.com", headers={"Metadata-Flavor": "Google"})
        return await rest.serve(request)

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 32 << 20), ("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((write.handler(),))
    if server.add_insecure_port(f"127.0.0.1:{grpc_port}") != grpc_port:
        sys.exit(f"port {grpc_port} is taken")
    await server.start()
    http = await HttpServer(serve).start(port)
    print("ready", flush=True)
    async with http:
        await http.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "p"))
    except KeyboardInterrupt:
        pass
