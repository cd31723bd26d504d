/** What the synthetic world is made of: nouns with their icons, shapes, colours, drawing styles. */

/** Kind of thing; `object` groups what has no natural category word. */
export type Category =
  | 'animal'
  | 'vehicle'
  | 'food'
  | 'plant'
  | 'instrument'
  | 'furniture'
  | 'clothing'
  | 'object'
  | 'shape';

/** Icon sets whose drawings may be seen in training. */
export const KNOWN_STYLES = ['noto', 'fluent-emoji-flat', 'twemoji'] as const;
/** Icon set held out to measure a shift of drawing style. */
export const SHIFT_STYLE = 'openmoji';
/** All icon sets. */
export const ICON_STYLES = [...KNOWN_STYLES, SHIFT_STYLE] as const;
export type IconStyle = (typeof ICON_STYLES)[number];
/** How geometric shapes are drawn: filled (known) or with a dark outline (shift). */
export type ShapeStyle = 'flat' | 'outlined';
export type SpriteStyle = IconStyle | ShapeStyle;
export type { StyleChoice } from '../../config/world.js';

/** Scenes to train on and to measure with; they differ in seeds and in what stands together. */
export const SPLITS = ['train', 'test'] as const;
export type Split = (typeof SPLITS)[number];

/** Files that pictures of the world are written as. */
export const PICTURE_FORMATS = ['png', 'jpg'] as const;
export type PictureFormat = (typeof PICTURE_FORMATS)[number];

/** A noun with its category, plural and icon names (first one found in a set wins). */
export interface Noun {
  readonly name: string;
  readonly plural: string;
  readonly category: Category;
  readonly icons: readonly string[];
}

function nouns(category: Category, rows: Record<string, { plural?: string; icons?: readonly string[] }>): Noun[] {
  return Object.entries(rows).map(([name, row]) => ({
    name,
    plural: row.plural ?? `${name}s`,
    category,
    icons: row.icons ?? [name],
  }));
}

/** Things drawn by icons; each exists in all four icon sets. */
export const ICON_NOUNS: readonly Noun[] = [
  ...nouns('animal', {
    dog: {},
    cat: {},
    horse: {},
    elephant: {},
    rabbit: {},
    cow: {},
    pig: {},
    duck: {},
    fish: { plural: 'fish' },
    bird: {},
    turtle: {},
  }),
  ...nouns('vehicle', {
    bus: { plural: 'buses' },
    car: { icons: ['automobile'] },
    bicycle: {},
    airplane: {},
    boat: { icons: ['sailboat'] },
    train: { icons: ['locomotive'] },
    rocket: {},
  }),
  ...nouns('food', {
    apple: { icons: ['red-apple'] },
    banana: {},
    pizza: {},
    carrot: {},
    cake: { icons: ['birthday-cake'] },
    mushroom: {},
  }),
  ...nouns('plant', {
    tree: { icons: ['deciduous-tree'] },
    flower: { icons: ['tulip'] },
  }),
  ...nouns('instrument', { guitar: {}, drum: {} }),
  ...nouns('furniture', { chair: {}, bed: {} }),
  ...nouns('clothing', {
    hat: { icons: ['top-hat'] },
    shoe: { icons: ['running-shoe'] },
  }),
  ...nouns('object', {
    house: {},
    umbrella: {},
    key: {},
    clock: { icons: ['alarm-clock'] },
    book: { icons: ['closed-book'] },
    ball: { icons: ['soccer-ball'] },
    bell: {},
    camera: {},
    anchor: {},
    cup: { icons: ['hot-beverage'] },
  }),
];

/** Geometric shapes, drawn by this code. */
export const SHAPE_NOUNS: readonly Noun[] = nouns('shape', {
  circle: {},
  square: {},
  triangle: {},
  star: {},
  heart: {},
  diamond: {},
});

/** Every noun of the world. */
export const NOUNS: readonly Noun[] = [...ICON_NOUNS, ...SHAPE_NOUNS];

const byName = new Map(NOUNS.map((noun) => [noun.name, noun]));

/** The noun called `name`. Throws RangeError for a name outside the world. */
export function nounOf(name: string): Noun {
  const noun = byName.get(name);
  if (!noun) throw new RangeError(`'${name}' is not a noun of the synthetic world`);
  return noun;
}

export type Rgb = readonly [number, number, number];

/** Colours of shapes by name. */
export const COLORS = {
  red: [220, 38, 38],
  orange: [245, 130, 20],
  yellow: [250, 214, 20],
  green: [30, 160, 70],
  blue: [30, 90, 220],
  purple: [140, 50, 190],
  pink: [245, 130, 185],
  brown: [125, 75, 35],
  black: [25, 25, 28],
  white: [252, 252, 252],
} as const satisfies Record<string, Rgb>;
export type ColorName = keyof typeof COLORS;
export const COLOR_NAMES = Object.keys(COLORS) as readonly ColorName[];

/** Word for a category as `[singular, plural]`; null where no natural word exists. */
export const CATEGORY_WORDS: Readonly<Record<Category, readonly [string, string] | null>> = {
  animal: ['animal', 'animals'],
  vehicle: ['vehicle', 'vehicles'],
  food: ['food', 'pieces of food'],
  plant: ['plant', 'plants'],
  instrument: ['musical instrument', 'musical instruments'],
  furniture: ['piece of furniture', 'pieces of furniture'],
  clothing: ['piece of clothing', 'pieces of clothing'],
  object: null,
  shape: ['shape', 'shapes'],
};
