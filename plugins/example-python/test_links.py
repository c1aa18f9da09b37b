"""Run with `python3 -m unittest` in this folder; needs nothing but Python."""

import unittest

from links import Links, Refused

NOW = 1_764_000_000


class Signing(unittest.TestCase):
    links = Links(b"a secret of some length")

    def refused(self, target: str, now: float = NOW) -> str:
        with self.assertRaises(Refused) as raised:
            self.links.check(target, now)
        return str(raised.exception)

    def test_a_link_that_was_signed_passes_without_its_parameters(self):
        for target in ["/a", "/a?b=c", "/a%20b?c=d&e", "/?expires=1&signature=2"]:
            link = self.links.sign(target, NOW + 60)
            self.assertEqual(self.links.check(link, NOW), (target, 60))

    def test_a_known_signature(self):
        # printf '/a?expires=1764000060' | openssl dgst -sha256 -hmac 'a secret of some length'
        self.assertEqual(self.links.sign("/a", NOW + 60), "/a?expires=1764000060&signature=b78d1f13727ccb854d463a127f949d100366681d644611d503f51729f94b0824")

    def test_it_ends_when_it_says(self):
        link = self.links.sign("/a", NOW + 60)
        self.assertEqual(self.links.check(link, NOW + 59.5), ("/a", 0))
        self.assertIn("expired", self.refused(link, NOW + 60))

    def test_every_character_counts(self):
        link = self.links.sign("/a?b=c", NOW + 60)
        for at in range(len(link)):
            changed = link[:at] + ("0" if link[at] != "0" else "1") + link[at + 1 :]
            self.refused(changed)
        for changed in [link + "0", link + "&x=y", link[:-1], link.upper(), link.replace("/a", "/b")]:
            self.refused(changed)

    def test_no_signature_is_said_so(self):
        for target in ["/a", "/a?expires=1764000060", "/a?signature=00", "/a?expires=x&signature=" + "0" * 64]:
            self.assertIn("not signed", self.refused(target))

    def test_another_secret_signs_otherwise(self):
        self.assertIn("wrong", self.refused(Links(b"another secret").sign("/a", NOW + 60)))


if __name__ == "__main__":
    unittest.main()
