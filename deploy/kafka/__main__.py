"""A real Kafka in the foreground: `make kafka`, from the repository's root

python3 -m deploy.kafka [--brokers 3] [--port 9092] [--data FOLDER]
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from deploy.kafka.kafka import KafkaServer
from deploy.kafka.runners import HERE, KafkaUnavailable, missing, runner, version


def main() -> int:
    options = _options()
    _end_on_signals()
    try:
        if options.bring:
            if missing() is None:
                runner()
            return 0
        data = options.data or HERE / ".data" / str(options.brokers)
        with KafkaServer(options.brokers, data=data, port=options.port) as kafka:
            print(f"Kafka {version()} is ready, topics and logs are in {data}")
            print(f"REGIE_KAFKA_BOOTSTRAP={kafka.bootstrap}", flush=True)
            print("Ctrl-C stops it.", flush=True)
            return _watch(kafka)
    except KafkaUnavailable as error:
        print(error, file=sys.stderr)
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A real Kafka on this machine's loopback.")
    parser.add_argument("--brokers", type=int, default=1, choices=range(1, 10), metavar="1..9")
    parser.add_argument(
        "--port", type=int, default=9092, help="the first broker's (9092); 0 takes free ones"
    )
    parser.add_argument("--data", type=Path, help="keep the topics here")
    parser.add_argument(
        "--bring", action="store_true", help="only bring the jars, where Kafka can run at all"
    )
    return parser.parse_args()


def _end_on_signals() -> None:
    def end(number: int, frame: object) -> NoReturn:
        # Once: what follows is the orderly end, and a second Ctrl-C must not cut it short.
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(0)

    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, end)


def _watch(kafka: KafkaServer) -> int:
    while True:
        for node in kafka.nodes:
            if not kafka.running(node):
                print(f"broker {node} ended by itself: {kafka.log(node)}", file=sys.stderr)
                return 1
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
