#!/usr/bin/env bash
# Checks the files of examples/ingest/deploy with tools that others wrote: systemd's own verdict on the unit, promtool on the
# alerts, cfn-lint on the CloudFormation template, an HCL parser on the Terraform file. Then applies the template to
# moto and looks whether stream, table and queue are there. Installs the tools into $FOREBAY_TOOLS.
set -euo pipefail
cd "$(dirname "$0")/../examples/ingest/deploy"

tools="${FOREBAY_TOOLS:-$HOME/.cache/forebay-tools}"
venv="$tools/deploy"
passed=0
skipped=0

ok() { echo "ok: $1"; passed=$((passed + 1)); }
skip() { echo "skipped: $1"; skipped=$((skipped + 1)); }

if ! command -v python3 >/dev/null; then
    echo "skipped: deploy (no python3)"
    exit 0
fi
if [ ! -x "$venv/bin/cfn-lint" ]; then
    python3 -m venv "$venv"
    if ! "$venv/bin/pip" install --quiet cfn-lint==1.58.0 python-hcl2==7.3.1 'moto[server,cloudformation]==5.2.5' boto3==1.44.5; then
        rm -rf "$venv"
        echo "skipped: deploy (the package index is not there)"
        exit 0
    fi
fi

if command -v systemd-analyze >/dev/null; then
    exposure=$(systemd-analyze security --offline=true ./forebay.service | tail -1)
    echo "$exposure"
    # "Overall exposure level for forebay.service: 1.2 OK"
    grep -oE '[0-9]+\.[0-9]+' <<<"$exposure" | awk '{ exit !($1 <= 2.0) }'
    ok "the unit's exposure is at most 2.0"
else
    skip "forebay.service (no systemd-analyze)"
fi

if ! command -v promtool >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -yqq --no-install-recommends prometheus; } >/dev/null 2>&1 || true
fi
if command -v promtool >/dev/null; then
    promtool check rules prometheus-rules.yml
    ok "promtool takes the alerts"
else
    skip "prometheus-rules.yml (no promtool)"
fi

"$venv/bin/cfn-lint" cloudformation.yaml
ok "cfn-lint finds nothing in the CloudFormation template"

"$venv/bin/python" - <<'PYTHON'
import hcl2
with open("main.tf") as file:
    parsed = hcl2.load(file)
kinds = {kind.strip('"') for block in parsed["resource"] for kind in block}
assert {"aws_kinesis_stream", "aws_dynamodb_table", "aws_sqs_queue", "aws_iam_policy"} <= kinds, kinds
PYTHON
ok "the Terraform file parses"

"$venv/bin/python" - <<'PYTHON'
import json
with open("grafana.json") as file:
    dashboard = json.load(file)
places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
assert len(places) == len(set(places)), "two panels in one place"
assert all(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
PYTHON
ok "every panel of the dashboard has a place and a query"

port=$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$venv/bin/moto_server" -H 127.0.0.1 -p "$port" >/dev/null 2>&1 &
moto=$!
trap 'kill "$moto" 2>/dev/null || true' EXIT
"$venv/bin/python" - "$port" <<'PYTHON'
import sys, time
import boto3
from botocore.exceptions import EndpointConnectionError

def client(service):
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", region_name="eu-west-1",
                        aws_access_key_id="test", aws_secret_access_key="test")

for attempt in range(100):
    try:
        client("sns").list_topics()
        break
    except EndpointConnectionError:
        time.sleep(0.1)
topic = client("sns").create_topic(Name="trail")["TopicArn"]
client("logs").create_log_group(logGroupName="flow")
with open("cloudformation.yaml") as file:
    template = file.read()
stack = client("cloudformation")
stack.create_stack(StackName="forebay", TemplateBody=template, Capabilities=["CAPABILITY_IAM"], Parameters=[
    {"ParameterKey": "FlowLogGroup", "ParameterValue": "flow"},
    {"ParameterKey": "TrailTopicArn", "ParameterValue": topic},
    {"ParameterKey": "TrailBucket", "ParameterValue": "trail"},
])
status = stack.describe_stacks(StackName="forebay")["Stacks"][0]["StackStatus"]
assert status == "CREATE_COMPLETE", status
shards = client("kinesis").describe_stream_summary(StreamName="flowlogs")["StreamDescriptionSummary"]["OpenShardCount"]
assert shards == 2, shards
key = client("dynamodb").describe_table(TableName="graylog-aws-plugin-flowlogs")["Table"]["KeySchema"]
assert key == [{"AttributeName": "leaseKey", "KeyType": "HASH"}], key
assert len(client("sqs").list_queues()["QueueUrls"]) == 2
PYTHON
ok "moto builds the stack"

echo "$passed passed, 0 failed, $skipped skipped"
