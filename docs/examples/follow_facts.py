"""Follows the facts of Meanwhile on RabbitMQ: prints one line for each job that finishes.

    pip install pika
    python follow_facts.py amqp://guest:guest@localhost:5672/%2f

The program gets its own queue, which ends with its connection: facts that arrive while it is
away are missed. A program that may miss nothing reads GET /api/v1/jobs/{id}/journal instead.
"""

import json
import sys

import pika

EXCHANGE = "meanwhile.hub_events"
KINDS = ["job.finished", "task.rejected", "task.needs_review"]


def events(body):
    """Returns the CloudEvents of a message: one, or a batch of the same kind."""
    content = json.loads(body)
    return content if isinstance(content, list) else [content]


def describe(event):
    """Returns a line about a fact. Fields that the program does not know are ignored."""
    fact = event["data"]
    job = fact["data"]["job"]
    if fact["kind"] == "job.finished":
        return f"{job['title']}: {job['state']}, {job['succeeded']} of {job['total']} succeeded"
    task = fact["data"]["task"]
    return f"{job['title']}: {task['key']} {task['state']}: {task['outcome']['message']}"


def main(url):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    queue = channel.queue_declare(queue="", exclusive=True).method.queue
    for kind in KINDS:
        channel.queue_bind(queue, EXCHANGE, routing_key=kind)
    print("following", flush=True)
    seen = set()
    for method, _, body in channel.consume(queue):
        for event in events(body):
            # A message may be delivered twice; the id of its event is the same.
            if event["id"] not in seen and event["type"].endswith(".v1"):
                seen.add(event["id"])
                print(describe(event), flush=True)
        channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    main(sys.argv[1])
