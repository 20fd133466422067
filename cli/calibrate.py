"""`geopdn calibrate`: scores, priorities and expected counts of existing weights, fitted on other places."""

from pathlib import Path
from typing import Annotated

import typer

from geopdn.cli import options
from geopdn.cli.messages import say, tell
from geopdn.cli.train import find_config, show_scores


def calibrate(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A training configuration that names scenes, labels and places.")
    ],
    *,
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Weights to calibrate; they stay as they are.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the new weights go.")],
    overwrite: options.Overwrite = False,
) -> None:
    """Calibrate weights on your own places, without training.

    What scores mean, their threshold, priorities and recall estimates are fitted on the places that the configuration
    holds out for calibration, and accuracy is measured on its validation places.

    Example: geopdn calibrate my-sites.yaml --model aircraft-50cm -o aircraft-my-sites.safetensors
    """
    path = find_config(config)
    from geopdn.config_file import load_train_config
    from geopdn.model.weights import find_weights, load_weights
    from geopdn.output.write import check_destination
    from geopdn.train.finish import calibrate_again
    from geopdn.train.places import find_scenes

    weights = find_weights(model)
    check_destination(output, inputs=[path, weights], overwrite=overwrite, endings=(".safetensors",))
    settings = load_train_config(path)
    scenes = find_scenes(settings.data, base=path.resolve().parent)
    scores = calibrate_again(load_weights(weights), settings, scenes, path=output, say=say)
    tell(f"Wrote {output}.")
    show_scores(scores)
