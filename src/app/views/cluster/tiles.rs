//! Where each replica's tile of the heatmap stands on a card: every topic in a block of its own where that fits, all
//! in one run otherwise. Plain geometry, no egui calls.

use egui::{Pos2, Rect, Vec2, pos2, vec2};

use crate::app::theme::{cluster as measure, space};

/// How tiles are laid out inside every card. Tiles go down the columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// From one tile to the next.
    pub pitch: f32,
    /// Tiles in a column.
    rows: usize,
    /// Columns that have room.
    columns: usize,
    blocks: Blocks,
}

/// How topics are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocks {
    /// Each has its columns, below its name.
    Named,
    /// Each has its columns.
    Apart,
    /// They follow each other.
    None,
}

impl Grid {
    /// The largest tiles with which every card fits `body`; `held` has its replicas by topic. Where even the
    /// smallest do not fit, some replicas have no room.
    pub fn new(body: Vec2, held: &[Vec<usize>]) -> Grid {
        let run = Grid::in_one_run(body, held);
        let apart = || {
            let least = (run.pitch - measure::TILE_GIVES).max(measure::TILE);
            Grid::in_blocks(body, held, Blocks::Apart, least)
        };
        let named = Grid::in_blocks(body, held, Blocks::Named, measure::TILE_NAMED);
        named.or_else(apart).unwrap_or(run)
    }

    fn in_blocks(body: Vec2, held: &[Vec<usize>], blocks: Blocks, least: f32) -> Option<Grid> {
        let most_topics = held.iter().map(Vec::len).max().unwrap_or(0);
        if most_topics as f32 * (least + space::XS) > body.x {
            return None;
        }
        let room = body.y - name_height(blocks);
        let mut pitch = measure::TILE_MOST.min(room).floor();
        while pitch >= least {
            let grid = |rows| Grid {
                pitch,
                rows,
                columns: (body.x / pitch) as usize,
                blocks,
            };
            let fits = |grid: &Grid| held.iter().all(|topics| grid.width(topics) <= body.x);
            let most = (room / pitch) as usize;
            if fits(&grid(most)) {
                return (1..=most).map(grid).find(fits);
            }
            pitch -= 1.0;
        }
        None
    }

    fn in_one_run(body: Vec2, held: &[Vec<usize>]) -> Grid {
        let most: usize = held
            .iter()
            .map(|topics| topics.iter().sum())
            .max()
            .unwrap_or(0);
        let mut pitch = measure::TILE_MOST.min(body.y).max(measure::TILE).floor();
        loop {
            let columns = ((body.x / pitch) as usize).max(1);
            let room = ((body.y / pitch) as usize).max(1);
            let rows = most.div_ceil(columns).max(1);
            if rows <= room || pitch <= measure::TILE {
                return Grid {
                    pitch,
                    rows: rows.min(room),
                    columns,
                    blocks: Blocks::None,
                };
            }
            pitch -= 1.0;
        }
    }

    fn width(&self, topics: &[usize]) -> f32 {
        let columns: usize = topics.iter().map(|tiles| tiles.div_ceil(self.rows)).sum();
        let gaps = topics.len().saturating_sub(1) as f32;
        columns as f32 * self.pitch + gaps * space::S
    }

    /// Replicas a card of so many shows.
    pub fn room(&self, replicas: usize) -> usize {
        match self.blocks {
            Blocks::None => replicas.min(self.rows * self.columns),
            Blocks::Named | Blocks::Apart => replicas,
        }
    }

    /// Height that all columns take.
    pub fn height(&self) -> f32 {
        name_height(self.blocks) + self.rows as f32 * self.pitch
    }

    /// The blocks of a card's topics, in order; nothing where they follow each other.
    pub fn blocks(&self, body: Rect, topics: &[usize]) -> Vec<Rect> {
        if self.blocks == Blocks::None {
            return Vec::new();
        }
        let mut left = body.left();
        let blocks = topics.iter().map(|tiles| {
            let width = tiles.div_ceil(self.rows) as f32 * self.pitch;
            let block = Rect::from_min_size(pos2(left, body.top()), vec2(width, self.height()));
            left += width + space::S;
            block
        });
        blocks.collect()
    }

    /// The height of the names above the blocks; 0 where there are none.
    pub fn names(&self) -> f32 {
        name_height(self.blocks)
    }

    /// A card's tiles as far as they have room, in the order of its replicas.
    pub fn tiles(&self, body: Rect, topics: &[usize]) -> Vec<Rect> {
        let all: usize = topics.iter().sum();
        let blocks = self.blocks(body, topics);
        if blocks.is_empty() {
            let corner = body.min;
            return (0..self.room(all))
                .map(|nth| self.tile(corner, nth))
                .collect();
        }
        let below = vec2(0.0, self.names());
        let each = blocks.iter().zip(topics);
        each.flat_map(|(block, tiles)| {
            (0..*tiles).map(move |nth| self.tile(block.min + below, nth))
        })
        .collect()
    }

    fn tile(&self, corner: Pos2, nth: usize) -> Rect {
        let (column, row) = (nth / self.rows, nth % self.rows);
        let at = corner + vec2(column as f32, row as f32) * self.pitch;
        Rect::from_min_size(at.round(), Vec2::splat(self.pitch - 1.0))
    }
}

fn name_height(blocks: Blocks) -> f32 {
    match blocks {
        Blocks::Named => measure::TILE_NAME,
        Blocks::Apart | Blocks::None => 0.0,
    }
}

/// The tile nearest to `from` that lies in this direction.
pub fn beside(tiles: &[Rect], from: usize, direction: Vec2) -> Option<usize> {
    let start = tiles.get(from)?.center();
    let away = |nth: usize| {
        let to = tiles[nth].center() - start;
        let (along, aside) = (to.dot(direction), to.dot(direction.rot90()).abs());
        // What lies straight ahead comes first.
        (along > 0.5).then_some(along + 4.0 * aside)
    };
    let ahead = (0..tiles.len()).filter_map(|nth| Some((nth, away(nth)?)));
    let nearest = ahead.min_by(|a, b| a.1.total_cmp(&b.1));
    nearest.map(|(nth, _)| nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(width: f32, height: f32) -> Rect {
        Rect::from_min_size(pos2(10.0, 20.0), vec2(width, height))
    }

    #[test]
    fn topics_stand_apart_below_their_names_as_long_as_there_is_room() {
        for (topics, blocks) in [
            (vec![300], Blocks::Named),
            (vec![60, 1, 9, 30], Blocks::Named),
            (vec![400, 300, 100], Blocks::Apart),
            (vec![1; 40], Blocks::None),
            (vec![1; 900], Blocks::None),
        ] {
            let grid = Grid::new(body(367.0, 72.0).size(), std::slice::from_ref(&topics));
            assert_eq!(grid.blocks, blocks, "{topics:?}: {grid:?}");
        }
    }

    #[test]
    fn tiles_lie_on_their_card_and_never_over_each_other() {
        for (width, height) in [(367.0, 72.0), (286.0, 34.0), (700.0, 300.0)] {
            let body = body(width, height);
            for held in [
                vec![vec![7], vec![900]],
                vec![vec![3, 50, 200], vec![]],
                vec![vec![2; 30], vec![1; 450]],
            ] {
                let grid = Grid::new(body.size(), &held);
                for topics in &held {
                    let tiles = grid.tiles(body, topics);
                    assert_eq!(tiles.len(), grid.room(topics.iter().sum()), "{held:?}");
                    check(body, &tiles);
                }
            }
        }
    }

    fn check(body: Rect, tiles: &[Rect]) {
        for (nth, tile) in tiles.iter().enumerate() {
            assert!(
                body.expand(1.0).contains_rect(*tile),
                "{tile:?} in {body:?}"
            );
            for other in &tiles[nth + 1..] {
                assert!(!tile.shrink(0.25).intersects(*other), "{tile:?}, {other:?}");
            }
        }
    }

    #[test]
    fn nine_hundred_replicas_have_room_on_the_smallest_of_ten_cards() {
        let grid = Grid::new(vec2(286.0, 34.0), &[vec![900]]);
        assert_eq!(grid.room(900), 900);
        let grid = Grid::new(vec2(286.0, 34.0), &[vec![9_000]]);
        assert!(grid.room(9_000) < 9_000, "it says so when some have none");
    }

    #[test]
    fn arrows_go_to_the_tile_beside() {
        let body = body(700.0, 72.0);
        let topics = vec![10, 10];
        let grid = Grid::new(body.size(), std::slice::from_ref(&topics));
        let tiles = grid.tiles(body, &topics);
        let (right, left) = (vec2(1.0, 0.0), vec2(-1.0, 0.0));
        let mut at = 0;
        while let Some(next) = beside(&tiles, at, right) {
            assert!(tiles[next].left() > tiles[at].left());
            at = next;
        }
        assert!(at >= 10, "from one topic into the next: {at}");
        assert_eq!(tiles[at].top(), tiles[0].top());
        assert_eq!(beside(&tiles, 0, left), None);
    }
}
