package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
)

// chart is a drawing of horizontal bars. The bars of a row are drawn behind one
// another when it is stacked, otherwise below one another.
type chart struct {
	title   string
	unit    string
	series  []string // what the n-th bar of each row is
	stacked bool
	rows    []chartRow
}

type chartRow struct {
	label string
	bars  []float64 // one for each series
}

// The measures of a chart in pixels.
const (
	chartWidth = 760
	labelWidth = 190
	valueWidth = 90
	barHeight  = 16
	rowGap     = 10
	headHeight = 58
	textDrop   = 12 // of a line of text below the top of its bar
)

// seriesColors can be told apart by people who see colours differently.
var seriesColors = []string{"#4477aa", "#ee6677", "#ccbb44"}

// svg draws the chart.
func (c *chart) svg() []byte {
	var out bytes.Buffer
	height := headHeight
	for _, row := range c.rows {
		height += c.rowHeight(row) + rowGap
	}
	printf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" font-family="sans-serif" font-size="12">`+"\n",
		chartWidth, height)
	printf(&out, "<title>%s</title>\n", escaped(c.title))
	printf(&out, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", chartWidth, height)
	printf(&out, `<text x="10" y="20" font-size="14" font-weight="bold" fill="#222222">%s (%s)</text>`+"\n", escaped(c.title), escaped(c.unit))
	c.drawLegend(&out)
	scale := float64(chartWidth-labelWidth-valueWidth) / max(c.longest(), 1e-9)
	y := headHeight
	for _, row := range c.rows {
		printf(&out, `<text x="%d" y="%d" text-anchor="end" fill="#222222">%s</text>`+"\n", labelWidth-8, y+textDrop, escaped(row.label))
		c.drawRow(&out, row, y, scale)
		y += c.rowHeight(row) + rowGap
	}
	printf(&out, "</svg>\n")
	return out.Bytes()
}

func (c *chart) drawLegend(out *bytes.Buffer) {
	const square, apart = 10, 110
	for i, name := range c.series {
		x := labelWidth + i*apart
		printf(out, `<rect x="%d" y="32" width="%d" height="%d" fill="%s"/>`+"\n", x, square, square, seriesColors[i])
		printf(out, `<text x="%d" y="41" fill="#222222">%s</text>`+"\n", x+square+5, escaped(name))
	}
}

func (c *chart) drawRow(out *bytes.Buffer, row chartRow, y int, scale float64) {
	x, sum := float64(labelWidth), 0.0
	for i, value := range row.bars {
		printf(out, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x, y, value*scale, barHeight-2, seriesColors[i])
		sum += value
		if c.stacked {
			x += value * scale
			continue
		}
		drawValue(out, x+value*scale, y, value)
		y += barHeight
	}
	if c.stacked {
		drawValue(out, x, y, sum)
	}
}

func drawValue(out *bytes.Buffer, x float64, y int, value float64) {
	printf(out, `<text x="%.1f" y="%d" fill="#222222">%s</text>`+"\n", x+5, y+textDrop, readable(value))
}

func (c *chart) rowHeight(row chartRow) int {
	if c.stacked {
		return barHeight
	}
	return barHeight * len(row.bars)
}

// longest is the length of the longest bar.
func (c *chart) longest() float64 {
	longest := 0.0
	for _, row := range c.rows {
		sum := 0.0
		for _, value := range row.bars {
			sum += value
			if !c.stacked {
				longest = max(longest, value)
			}
		}
		if c.stacked {
			longest = max(longest, sum)
		}
	}
	return longest
}

func escaped(text string) string {
	var out bytes.Buffer
	if err := xml.EscapeText(&out, []byte(text)); err != nil {
		return ""
	}
	return out.String()
}

// readable is a number as people read it: 12,300; 4.2; 0.38.
func readable(value float64) string {
	const thousand = 1000
	switch {
	case value >= thousand:
		return fmt.Sprintf("%s,%03d", readable(float64(int64(value)/thousand)), int64(value)%thousand)
	case value >= 100, value == float64(int64(value)):
		return strconv.FormatFloat(value, 'f', 0, 64)
	case value >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	default:
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
}
