"""Run by the Python that has the client: compares its commands with those of a compiled file of ours; prints what differs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool


def main() -> None:
    from poly.handlers.protobuf import commands_pb2

    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes()).file:
        pool.Add(file)
    seen: set[tuple[str, str]] = set()
    for ours, theirs in (("Command", commands_pb2.Command), ("CommandBatch", commands_pb2.CommandBatch)):
        compare(pool.FindMessageTypeByName(f"vivavoce.commands.{ours}"), theirs.DESCRIPTOR, seen)
    print(f"{len(seen)} messages compared")


def compare(ours: Any, theirs: Any, seen: set[tuple[str, str]]) -> None:
    if (ours.full_name, theirs.full_name) in seen:
        return
    seen.add((ours.full_name, theirs.full_name))
    proto = DescriptorProto()
    ours.CopyToProto(proto)
    known = set(ours.fields_by_number).union(*(range(span.start, span.end) for span in proto.reserved_range))
    for field in theirs.fields:
        if field.number not in known and theirs.name != "Command":  # which has commands that the client never sends
            print(f"{theirs.full_name}.{field.name}: {said(field)} there, and neither declared nor reserved here")
    for field in ours.fields:
        other = theirs.fields_by_number.get(field.number)
        if other is None or said(field) != said(other):
            print(f"{theirs.full_name}.{field.name}: {said(field)} here, {other and said(other)} there")
        elif field.message_type is not None:
            compare(field.message_type, other.message_type, seen)


def said(field: Any) -> tuple[Any, ...]:
    return field.name, field.type, field.is_repeated, field.has_presence


main()
