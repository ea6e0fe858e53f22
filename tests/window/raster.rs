//! A small CPU rasteriser for egui's triangles, so that pictures need no GPU and no display.
//!
//! Clips, fills triangles with the top-left rule, samples textures, blends premultiplied colours in
//! gamma space as egui's own painters do. Files are byte-identical from run to run.

use std::collections::HashMap;

use egui::epaint::{ImageData, Primitive, Vertex};
use egui::{Color32, ColorImage, Mesh, Pos2, Rect, TextureId, TexturesDelta};
use egui_kittest::TestRenderer;

/// Textures by id; pictures come out of [`TestRenderer::render`].
#[derive(Default)]
pub struct Raster {
    textures: HashMap<TextureId, ColorImage>,
}

impl TestRenderer for Raster {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        for (id, patches) in std::mem::take(&mut delta.set) {
            for patch in patches {
                let ImageData::Color(image) = &patch.image;
                match patch.pos {
                    None => {
                        self.textures.insert(id, (**image).clone());
                    }
                    Some(at) => self.patch(id, at, image),
                }
            }
        }
        for id in std::mem::take(&mut delta.free) {
            self.textures.remove(&id);
        }
    }

    fn render(
        &mut self,
        ctx: &egui::Context,
        output: &egui::FullOutput,
    ) -> Result<image::RgbaImage, String> {
        let scale = output.pixels_per_point;
        let size = ctx.content_rect().size() * scale;
        let mut canvas = Canvas::new(size.x.round() as usize, size.y.round() as usize);
        for clipped in ctx.tessellate(output.shapes.clone(), scale) {
            if let Primitive::Mesh(mesh) = &clipped.primitive {
                let texture = self
                    .textures
                    .get(&mesh.texture_id)
                    .ok_or("a mesh without its texture")?;
                canvas.mesh(mesh, texture, clipped.clip_rect, scale);
            }
        }
        Ok(canvas.into_image())
    }
}

impl Raster {
    fn patch(&mut self, id: TextureId, [x, y]: [usize; 2], image: &ColorImage) {
        let Some(texture) = self.textures.get_mut(&id) else {
            return;
        };
        let (width, rows) = (image.size[0], image.size[1]);
        for row in 0..rows {
            let to = (y + row) * texture.size[0] + x;
            let from = row * width;
            texture.pixels[to..to + width].copy_from_slice(&image.pixels[from..from + width]);
        }
    }
}

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Color32>,
}

/// Whole pixels: left, top, right (exclusive), bottom (exclusive).
type Clip = [usize; 4];

impl Canvas {
    fn new(width: usize, height: usize) -> Canvas {
        Canvas {
            width,
            height,
            pixels: vec![Color32::BLACK; width * height],
        }
    }

    fn mesh(&mut self, mesh: &Mesh, texture: &ColorImage, clip: Rect, scale: f32) {
        let limit =
            |value: f32, max: usize| (value * scale).round().clamp(0.0, max as f32) as usize;
        let clip = [
            limit(clip.min.x, self.width),
            limit(clip.min.y, self.height),
            limit(clip.max.x, self.width),
            limit(clip.max.y, self.height),
        ];
        for triangle in mesh.indices.chunks_exact(3) {
            let corner = |index: usize| {
                let mut vertex = mesh.vertices[triangle[index] as usize];
                vertex.pos = (vertex.pos.to_vec2() * scale).to_pos2();
                vertex
            };
            self.triangle([corner(0), corner(1), corner(2)], texture, clip);
        }
    }

    fn triangle(&mut self, mut v: [Vertex; 3], texture: &ColorImage, clip: Clip) {
        let mut area = cross(v[0].pos, v[1].pos, v[2].pos);
        if area == 0.0 || !area.is_finite() {
            return;
        }
        if area < 0.0 {
            v.swap(1, 2);
            area = -area;
        }
        let ys = v.map(|vertex| vertex.pos.y);
        let low = ys.iter().copied().fold(f32::INFINITY, f32::min);
        let high = ys.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let first = (low - 0.5).ceil().max(clip[1] as f32) as usize;
        let last = (high - 0.5).floor().min(clip[3] as f32 - 1.0);
        if last < 0.0 {
            return;
        }
        let plain = v[0].color == v[1].color
            && v[1].color == v[2].color
            && v[0].uv == v[1].uv
            && v[1].uv == v[2].uv;
        let fill = plain.then(|| modulate(v[0].color, sample(texture, v[0].uv)));
        for y in first..=last as usize {
            let (from, to) = span(&v, y as f32 + 0.5, clip[0], clip[2]);
            if from >= to {
                continue;
            }
            match fill {
                Some(color) => self.fill_row(y, from, to, color),
                None => self.shade_row(&v, area, texture, y, from, to),
            }
        }
    }

    fn fill_row(&mut self, y: usize, from: usize, to: usize, color: Color32) {
        let row = &mut self.pixels[y * self.width + from..y * self.width + to];
        if color.a() == 255 {
            row.fill(color);
        } else if color != Color32::TRANSPARENT {
            for pixel in row {
                *pixel = over(color, *pixel);
            }
        }
    }

    fn shade_row(
        &mut self,
        v: &[Vertex; 3],
        area: f32,
        texture: &ColorImage,
        y: usize,
        from: usize,
        to: usize,
    ) {
        for x in from..to {
            let at = Pos2::new(x as f32 + 0.5, y as f32 + 0.5);
            let a = cross(v[1].pos, v[2].pos, at) / area;
            let b = cross(v[2].pos, v[0].pos, at) / area;
            let c = 1.0 - a - b;
            let uv = Pos2::new(
                a * v[0].uv.x + b * v[1].uv.x + c * v[2].uv.x,
                a * v[0].uv.y + b * v[1].uv.y + c * v[2].uv.y,
            );
            let color = if v[0].color == v[1].color && v[1].color == v[2].color {
                v[0].color
            } else {
                mix([v[0].color, v[1].color, v[2].color], [a, b, c])
            };
            let color = modulate(color, sample(texture, uv));
            if color != Color32::TRANSPARENT {
                let pixel = &mut self.pixels[y * self.width + x];
                *pixel = over(color, *pixel);
            }
        }
    }

    fn into_image(self) -> image::RgbaImage {
        let bytes = self
            .pixels
            .iter()
            .flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b(), 255])
            .collect();
        image::RgbaImage::from_raw(self.width as u32, self.height as u32, bytes)
            .expect("four bytes a pixel")
    }
}

fn cross(a: Pos2, b: Pos2, c: Pos2) -> f32 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

/// Pixels of the row whose centres lie inside: left edges inclusive, right edges exclusive.
fn span(v: &[Vertex; 3], y: f32, left: usize, right: usize) -> (usize, usize) {
    let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
    for (a, b) in [(0, 1), (1, 2), (2, 0)] {
        let (a, b) = (v[a].pos, v[b].pos);
        // An edge covers its upper end and not its lower one, so shared corners count once.
        if (a.y <= y) != (b.y <= y) {
            let x = a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x);
            min = min.min(x);
            max = max.max(x);
        }
    }
    if min > max {
        return (0, 0);
    }
    let from = (min - 0.5).ceil().max(left as f32) as usize;
    let to = (max - 0.5).ceil().clamp(0.0, right as f32) as usize;
    (from, to)
}

/// The texture at `uv`, between its texels when it is not a flat fill.
fn sample(texture: &ColorImage, uv: Pos2) -> Color32 {
    let [width, height] = texture.size;
    let x = (uv.x * width as f32 - 0.5).clamp(0.0, width as f32 - 1.0);
    let y = (uv.y * height as f32 - 0.5).clamp(0.0, height as f32 - 1.0);
    let (x0, y0) = (x as usize, y as usize);
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let (x1, y1) = ((x0 + 1).min(width - 1), (y0 + 1).min(height - 1));
    let at = |x: usize, y: usize| texture.pixels[y * width + x];
    let corners = [at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1)];
    if corners.iter().all(|corner| *corner == corners[0]) || (fx < 1e-3 && fy < 1e-3) {
        return corners[0];
    }
    let weights = [
        (1.0 - fx) * (1.0 - fy),
        fx * (1.0 - fy),
        (1.0 - fx) * fy,
        fx * fy,
    ];
    mix(corners, weights)
}

fn mix<const N: usize>(colors: [Color32; N], weights: [f32; N]) -> Color32 {
    let mut sum = [0.5f32; 4];
    for (color, weight) in colors.iter().zip(weights) {
        let parts = color.to_array();
        for (total, part) in sum.iter_mut().zip(parts) {
            *total += f32::from(part) * weight;
        }
    }
    let [r, g, b, a] = sum.map(|part| part.clamp(0.0, 255.0) as u8);
    Color32::from_rgba_premultiplied(r, g, b, a)
}

fn modulate(a: Color32, b: Color32) -> Color32 {
    if b == Color32::WHITE {
        return a;
    }
    let (a, b) = (a.to_array(), b.to_array());
    let times = |i: usize| ((u16::from(a[i]) * u16::from(b[i]) + 127) / 255) as u8;
    Color32::from_rgba_premultiplied(times(0), times(1), times(2), times(3))
}

fn over(top: Color32, below: Color32) -> Color32 {
    let (top, below) = (top.to_array(), below.to_array());
    let rest = 255 - u16::from(top[3]);
    let part =
        |i: usize| (u16::from(top[i]) + (u16::from(below[i]) * rest + 127) / 255).min(255) as u8;
    Color32::from_rgba_premultiplied(part(0), part(1), part(2), 255)
}
