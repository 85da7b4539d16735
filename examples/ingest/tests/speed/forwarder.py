"""What people run instead: a Lambda function in Python that turns Kinesis events into GELF over TCP.

`handler` is the function; the rest hands it the events of a file as Lambda would, one JSON object a line. Standard
library only. Prints the number of messages and its CPU seconds.
"""

import base64
import gzip
import json
import socket
import sys
import time

FIELDS = (
    "version account_id interface_id src_addr dst_addr src_port dst_port protocol_number packets bytes "
    "capture_window_start_time capture_window_end_time action log_status"
).split()
NUMBERS = {"src_port", "dst_port", "protocol_number", "packets", "bytes"}


def handler(event, connection):
    """One invocation: everything is written before it returns, so that a failure makes Lambda call again."""
    frames = []
    for record in event["Records"]:
        payload = json.loads(gzip.decompress(base64.b64decode(record["kinesis"]["data"])))
        if payload["messageType"] != "DATA_MESSAGE":
            continue
        for log_event in payload["logEvents"]:
            line = log_event["message"]
            columns = line.split(" ")
            if len(columns) != len(FIELDS):
                raise ValueError(f"no flow log: {line}")
            message = {
                "version": "1.1",
                "host": "aws-flowlogs",
                "short_message": f"{columns[2]} {columns[12]} {columns[7]} {columns[3]}:{columns[5]} -> {columns[4]}:{columns[6]}",
                "timestamp": log_event["timestamp"] / 1000,
                "_aws_log_group": payload["logGroup"],
                "_aws_log_stream": payload["logStream"],
                "_aws_owner": payload["owner"],
            }
            for name, value in zip(FIELDS, columns):
                message["_" + name] = int(value) if name in NUMBERS else value
            frames.append(json.dumps(message, separators=(",", ":")).encode() + b"\0")
    connection.sendall(b"".join(frames))
    return len(frames)


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    messages = 0
    with socket.create_connection((host, int(port))) as connection, open(sys.argv[2], "rb") as events:
        for line in events:
            messages += handler(json.loads(line), connection)
    print(messages, time.process_time())


main()
