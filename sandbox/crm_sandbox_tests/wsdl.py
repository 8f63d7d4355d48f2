"""Compare SOAP answers with the schemas in the partner WSDL, where it stands beside the repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from lxml import etree

from crm_sandbox_tests.contracts import FOLDER, Difference, require_descriptions

FILE = "salesforce/soap/partner-v51.0.wsdl.xml"
ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
_XSD = "{http://www.w3.org/2001/XMLSchema}"
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "xsd:boolean": bool,
    "xsd:int": int,
    "xsd:double": (int, float),
    "xsd:anyType": object,
}


class Wsdl:
    """The schemas of a WSDL file.

    Args:
        folder: an empty folder for them: the parser follows their imports through files only.
    """

    def __init__(self, folder: Path) -> None:
        require_descriptions()
        self._folder = folder
        root = etree.parse(FOLDER / FILE).getroot()
        self._schemas = {one.get("targetNamespace"): one for one in root.iter(f"{_XSD}schema")}

    @cached_property
    def _schema(self) -> etree.XMLSchema:
        names = {space: f"{number}.xsd" for number, space in enumerate(self._schemas)}
        whole = etree.Element(f"{_XSD}schema")
        for space, schema in self._schemas.items():
            for one in schema.iter(f"{_XSD}import"):
                one.set("schemaLocation", names[one.get("namespace")])
            (self._folder / names[space]).write_bytes(etree.tostring(schema))
            etree.SubElement(whole, f"{_XSD}import", namespace=space, schemaLocation=names[space])
        driver = self._folder / "whole.xsd"
        driver.write_bytes(etree.tostring(whole))
        return etree.XMLSchema(etree.parse(driver))

    @cached_property
    def _types(self) -> dict[str, dict[str, Mapping[str, str]]]:
        """Per type the attributes of each of its elements; no two of the three schemas share a name."""
        return {
            one.get("name"): {
                field.get("name"): dict(field.attrib) for field in one.iter(f"{_XSD}element")
            }
            for schema in self._schemas.values()
            for one in schema.iterfind(f"{_XSD}complexType")
        }

    def check(self, envelope: bytes) -> list[str]:
        """Check every header, and the answer or the fault's detail, and return their names.

        Raises:
            Difference: an element is not what the WSDL declares.
        """
        root = etree.fromstring(envelope)
        body = root.find(f"{ENVELOPE}Body")
        fault = body.find(f"{ENVELOPE}Fault")
        parts = body if fault is None else fault.find("detail")
        checked = [*root.iterfind(f"{ENVELOPE}Header/*"), *parts]
        for one in checked:
            # Namespaces that are declared above count for `xsi:type`, so they go along.
            alone = etree.fromstring(etree.tostring(one))
            if not self._schema.validate(alone):
                error = self._schema.error_log[0]
                raise Difference(f"{etree.QName(one).localname}: {error.path}: {error.message}")
        return [str(etree.QName(one).localname) for one in checked]

    def differences(self, type_name: str, value: Any, path: str = "$") -> Iterator[tuple[str, str]]:
        """Yield place and text of what differs between a JSON value and a type of the WSDL.

        REST answers with the same structures as SOAP. What may be missing there may be null here.
        """
        fields = self._types[type_name]
        for name in fields.keys() - value.keys():
            if fields[name].get("minOccurs") != "0":
                yield f"{path}.{name}", "the key is missing"
        for name in value.keys() - fields.keys():
            yield f"{path}.{name}", "the WSDL does not name this key"
        for name in fields.keys() & value.keys():
            yield from self._misfits(fields[name], value[name], f"{path}.{name}")

    def _misfits(
        self, field: Mapping[str, str], value: Any, path: str
    ) -> Iterator[tuple[str, str]]:
        kind, optional = field["type"], field.get("minOccurs") == "0"
        if field.get("maxOccurs") == "unbounded":
            if not isinstance(value, list):
                yield path, f"{type(value).__name__} where the WSDL has a list"
                return
            for one in value:
                yield from self._item_misfits(kind, one, f"{path}[*]")
        elif value is None:
            if not optional and field.get("nillable") != "true":
                yield path, "null where the WSDL has a value"
        else:
            yield from self._item_misfits(kind, value, path)

    def _item_misfits(self, kind: str, value: Any, path: str) -> Iterator[tuple[str, str]]:
        local = kind.rpartition(":")[2]
        if local in self._types and isinstance(value, dict):
            yield from self.differences(local, value, path)
        elif not isinstance(value, _KINDS.get(kind, str)) or (
            isinstance(value, bool) and kind not in {"xsd:boolean", "xsd:anyType"}
        ):
            yield path, f"{value!r} where the WSDL has {kind}"
