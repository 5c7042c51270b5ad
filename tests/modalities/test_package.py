"""The package as a whole: what it registers, and that importing it is cheap."""

import subprocess
import sys

from ppmm.registry import AUGMENTATIONS, FIELDS, TARGETS, TOKENIZERS

PROBE = """
import sys, time
start = time.process_time()
import ppmm.modalities
print(time.process_time() - start)
print(sorted(set(sys.modules) & {"paddle", "paddleaudio", "scipy", "soundfile", "PIL", "jieba", "paddlenlp"}))
"""


def test_registered_names():
    assert {"fbank", "image", "log_mel", "mfcc", "numeric", "text", "waveform"} <= set(FIELDS.names())
    assert TOKENIZERS.names() == ["byte_pair", "character", "jieba", "paddlenlp", "word"]
    assert {"key", "label", "multi_label", "number"} <= set(TARGETS.names())
    assert AUGMENTATIONS.names() == [
        "audio_gain", "audio_noise", "audio_shift", "audio_speed", "image_colour_jitter", "image_crop",
        "image_elastic", "image_erase", "image_flip", "image_noise", "image_rand_augment", "image_random_resized_crop",
        "image_shift", "spec_mask", "spec_warp", "text_drop", "text_insert", "text_swap", "text_synonyms", "token_mask",
    ]  # fmt: skip


def test_import_is_cheap():
    runs = [subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True) for _ in range(3)]
    seconds = min(float(run.stdout.split()[0]) for run in runs)
    assert seconds < 0.5
    assert runs[0].stdout.splitlines()[1] == "[]"
