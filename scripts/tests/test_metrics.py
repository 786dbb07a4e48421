"""What `metrics` prints is read as numbers."""

import unittest

from scenarios.metrics import by_label, read, received, sent

TEXT = """# HELP lanspread_sent_bytes_total Bytes of games sent to other peers
# TYPE lanspread_sent_bytes_total counter
lanspread_sent_bytes_total{kind="stream"} 0
lanspread_sent_bytes_total{kind="packed"} 70
lanspread_received_bytes_total{kind="http"} 3
lanspread_operations_total{kind="ensure",outcome="done"} 2
lanspread_operations_total{kind="absent",outcome="done"} 1
lanspread_tasks 12
"""


class MetricsTest(unittest.TestCase):
    def test_samples_are_read_with_and_without_labels(self) -> None:
        metrics = read(TEXT)
        self.assertEqual(metrics["lanspread_tasks"], 12)
        self.assertEqual(sent(metrics), {"packed": 70})
        self.assertEqual(received(metrics), {"http": 3})

    def test_samples_with_one_label_are_added_up(self) -> None:
        self.assertEqual(by_label(read(TEXT), "lanspread_operations_total", "outcome"), {"done": 3})
        self.assertEqual(by_label(read(TEXT), "lanspread_sent", "kind"), {})


if __name__ == "__main__":
    unittest.main()
