"""Kinesis and DynamoDB over their JSON protocol, and the records that the scenarios put."""

import base64
import datetime
import gzip
import hashlib
import http.client
import json

SERVICES = {
    "kinesis": ("Kinesis_20131202", "application/x-amz-json-1.1"),
    "dynamodb": ("DynamoDB_20120810", "application/x-amz-json-1.0"),
}
TOP_HASH = 2**128 - 1
AGGREGATE_MAGIC = bytes([0xF3, 0x89, 0x9A, 0xC2])


class Refused(Exception):
    """An error answer; `kind` is the exception's name in the API reference."""

    def __init__(self, operation, kind, text):
        super().__init__(f"{operation}: {kind}: {text}")
        self.kind = kind


class Client:
    """One service at a loopback port. The emulators take any signature."""

    def __init__(self, service, port):
        self.service, self.port = service, port

    def call(self, operation, **body):
        prefix, content_type = SERVICES[self.service]
        now = datetime.datetime.now(datetime.timezone.utc)
        headers = {
            "Content-Type": content_type,
            "X-Amz-Target": f"{prefix}.{operation}",
            "X-Amz-Date": now.strftime("%Y%m%dT%H%M%SZ"),
            "Authorization": f"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/{now:%Y%m%d}/eu-west-1/{self.service}"
            "/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/", json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        content = json.loads(text) if text else {}
        if answer.status != 200:
            kind = answer.getheader("x-amzn-errortype") or content.get("__type", str(answer.status))
            raise Refused(operation, kind.split("#")[-1].split(":")[0], text[:300])
        return content


def payload(number):
    """A CloudWatch Logs subscription payload with one log event that names `number`."""
    return gzip.compress(
        json.dumps(
            {
                "messageType": "DATA_MESSAGE",
                "owner": "123456789012",
                "logGroup": "interop",
                "logStream": "driver",
                "subscriptionFilters": ["all"],
                "logEvents": [
                    {
                        "id": f"{number:056d}",
                        "timestamp": 1_795_000_000_000 + number,
                        "message": f"interop-id={number:09d} of the driver",
                    }
                ],
            }
        ).encode()
    )


def varint(number):
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number, content):
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def aggregate(payloads, partition_key, hash_key):
    """The payloads as user records of one KPL aggregate, all with one hash key."""
    message = field(1, partition_key.encode()) + field(2, str(hash_key).encode())
    for content in payloads:
        message += field(3, bytes([0x08, 0x00, 0x10, 0x00]) + field(3, content))
    return AGGREGATE_MAGIC + message + hashlib.md5(message).digest()


def entry(data, partition_key, hash_key):
    """An entry of PutRecords."""
    return {
        "Data": base64.b64encode(data).decode(),
        "PartitionKey": partition_key,
        "ExplicitHashKey": str(hash_key),
    }
