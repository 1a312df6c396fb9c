"""Importances: which parameters decide whether a trial is among the best, as bars."""

from collections.abc import Mapping

import plotly.graph_objects as go

from search.reports.page.figures.style import BLUE, styled


def draw_importances(importances: Mapping[str, float]) -> go.Figure:
    """A bar a parameter: its share of what decides whether a trial is among the best; the largest on top."""
    ranked = sorted(importances.items(), key=lambda each: each[1])
    shares = [share for _, share in ranked]
    bars = go.Bar(
        x=shares,
        y=[name for name, _ in ranked],
        orientation="h",
        text=[f"{share:.2f}" if share >= 0.01 else "<0.01" for share in shares],
        textposition="outside",
        marker={"color": BLUE},
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    figure = styled(go.Figure(bars), "share (PED-ANOVA)", "", 26 * len(ranked) + 70)
    return figure.update_xaxes(range=[0, 1.15 * max(shares, default=1.0)])
