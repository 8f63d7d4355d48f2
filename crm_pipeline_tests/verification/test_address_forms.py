"""Which mailboxes a text names, and how each may be spelled."""

from crm_pipeline.verification import mailboxes, spellings


def test_a_mailbox_has_its_normal_form_and_its_spellings() -> None:
    """Letters in lower case; both forms of a domain; a text that is no address by its syntax is itself."""
    assert mailboxes("Jane <Jane@X.example>; d@XN--bcher-kva.example") == {
        "jane@x.example": {"jane@x.example"},
        "d@bücher.example": {
            "d@bücher.example",
            "d@bu\u0308cher.example",
            "d@xn--bcher-kva.example",
        },
    }
    assert mailboxes("&lt;o&#039;neil@x.example&gt;; jane&#64;x.example") == {
        "o'neil@x.example": {"o'neil@x.example", "o&#039;neil@x.example"},
        "jane@x.example": {"jane@x.example", "jane&#64;x.example"},
    }
    assert mailboxes("A@@b") == {"a@@b": {"a@@b"}}
    assert mailboxes("030 123") == mailboxes(" ") == {}
    assert spellings("F\uff20x.example") == {"f@x.example", "f\uff20x.example"}
    assert spellings("Bob <b@x.example>; Jane @ x.example") == {
        *("b@x.example", "jane@x.example", "jane @ x.example")
    }
