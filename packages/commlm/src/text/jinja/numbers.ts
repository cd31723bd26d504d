/** Arithmetic of Python: whole numbers of any size, and a float wherever one takes part. */
import { fault } from './faults.js';
import type { Meter } from './meter.js';

type Num = bigint | number;

/** Bits of a whole number beyond which no template has a use for it. */
const MAX_BITS = 4096;

/** The shortest text that reads back as the same float, in Python's form. */
export function formatFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [mantissa = '', power = ''] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 16) {
    const plain = value.toString().includes('e')
      ? value.toFixed(mantissa.replace(/\D/g, '').length - 1 - exponent)
      : value.toString();
    return plain.includes('.') ? plain : `${plain}.0`;
  }
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

const bothWhole = (a: Num, b: Num): boolean => typeof a === 'bigint' && typeof b === 'bigint';

const bounded = (value: bigint): bigint =>
  BigInt.asIntN(MAX_BITS, value) === value ? value : fault(`it makes a number of more than ${MAX_BITS} bits`);

export function add(a: Num, b: Num): Num {
  return bothWhole(a, b) ? bounded((a as bigint) + (b as bigint)) : Number(a) + Number(b);
}

export function subtract(a: Num, b: Num): Num {
  return bothWhole(a, b) ? bounded((a as bigint) - (b as bigint)) : Number(a) - Number(b);
}

export function multiply(a: Num, b: Num): Num {
  return bothWhole(a, b) ? bounded((a as bigint) * (b as bigint)) : Number(a) * Number(b);
}

/** `/`: always a float. */
export function divide(a: Num, b: Num): number {
  return Number(b) === 0 ? fault('division by zero') : Number(a) / Number(b);
}

/** `//`: rounds towards minus infinity. */
export function floorDivide(a: Num, b: Num): Num {
  if (Number(b) === 0) fault('integer division or modulo by zero');
  if (!bothWhole(a, b)) return Math.floor((Number(a) - Number(modulo(a, b))) / Number(b) + 0.5);
  const quotient = (a as bigint) / (b as bigint);
  return (a as bigint) % (b as bigint) !== 0n && (a as bigint) < 0n !== (b as bigint) < 0n ? quotient - 1n : quotient;
}

/** `%`: has the sign of the divisor. */
export function modulo(a: Num, b: Num): Num {
  if (Number(b) === 0) fault('integer division or modulo by zero');
  if (bothWhole(a, b)) {
    const rest = (a as bigint) % (b as bigint);
    return rest !== 0n && rest < 0n !== (b as bigint) < 0n ? rest + (b as bigint) : rest;
  }
  const [x, y] = [Number(a), Number(b)];
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

export function power(a: Num, b: Num, meter: Meter): Num {
  if (bothWhole(a, b) && (b as bigint) >= 0n) {
    meter.work(MAX_BITS);
    const bits = ((a as bigint) < 0n ? -(a as bigint) : (a as bigint)).toString(2).length;
    const trivial = a === 0n || a === 1n || a === -1n;
    if (!trivial && (b as bigint) * BigInt(bits - 1) > BigInt(MAX_BITS))
      fault(`it makes a number of more than ${MAX_BITS} bits`);
    return trivial && (b as bigint) > 1n
      ? (a as bigint) ** ((b as bigint) % 2n === 0n ? 2n : 1n)
      : (a as bigint) ** (b as bigint);
  }
  const [x, y] = [Number(a), Number(b)];
  if (x === 0 && y < 0) fault('0.0 cannot be raised to a negative power');
  if (x < 0 && !Number.isInteger(y)) fault('it computes with complex numbers');
  const result = x ** y;
  return Number.isFinite(result) || !Number.isFinite(x) || !Number.isFinite(y)
    ? result
    : fault('Numerical result out of range');
}

/** Half to even at a decimal place, on the exact binary value, as Python rounds. */
export function roundFloat(value: number, digits: number): number {
  if (!Number.isFinite(value)) return value;
  if (digits < 0) {
    const unit = 10 ** -digits;
    return roundHalfEven(value / unit) * unit;
  }
  return digits > 100 ? value : Number(fixed(value, digits));
}

export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** `%.Nf` of Python: the exact binary value, half to even. JavaScript's toFixed rounds halves up. */
export function fixed(value: number, digits: number): string {
  const negative = value < 0 || Object.is(value, -0);
  const exact = exactDecimal(Math.abs(value));
  const [whole = '0', fraction = ''] = exact.split('.');
  const kept = BigInt(whole + fraction.slice(0, digits).padEnd(digits, '0'));
  const rest = fraction.slice(digits);
  const half = /^50*$/.test(rest) ? kept % 2n === 1n : rest !== '' && rest[0]! >= '5';
  const text = (half ? kept + 1n : kept).toString().padStart(digits + 1, '0');
  const cut = text.length - digits;
  return `${negative ? '-' : ''}${text.slice(0, cut)}${digits > 0 ? `.${text.slice(cut)}` : ''}`;
}

/** Every digit of a float that is not negative: a float is a whole number over a power of two. */
function exactDecimal(value: number): string {
  let places = 0;
  let scaled = value;
  while (!Number.isInteger(scaled) && places < 1100) {
    scaled *= 2;
    places++;
  }
  // m / 2^p = m * 5^p / 10^p
  const digits = (BigInt(scaled) * 5n ** BigInt(places)).toString().padStart(places + 1, '0');
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}
